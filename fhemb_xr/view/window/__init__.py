"""One window: a tree of bokeh models, built for a page or for a test without one."""
