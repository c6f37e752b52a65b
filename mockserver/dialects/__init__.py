"""The services on the wire, one folder each; names.py has their names and registry.py a row for each dated one."""
