"""The commands of ``sonde``: words of a command line in, an exit code out."""
