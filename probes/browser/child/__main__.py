"""``python -m probes.browser.child``: started by the supervisor alone."""

from probes.browser.child.serve import main

if __name__ == "__main__":
    main()
