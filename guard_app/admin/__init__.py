"""The back office's pages of this part; the admin site finds every module in it."""
