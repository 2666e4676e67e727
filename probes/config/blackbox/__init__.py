"""The dialect of blackbox_exporter: its blackbox.yml becomes native modules."""
