"""The terminal board of `jobstream top`: its panes, windows and acts. Needs the extra `top`."""
