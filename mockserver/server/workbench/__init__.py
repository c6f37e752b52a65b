"""The workbench at /_mock/workbench: describe a call, talk to it, and keep what happened. The page is in web/."""
