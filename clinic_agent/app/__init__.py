"""The clinic's HTTP service, call page and demo."""
