"""The viewer: one call as a JSON document (call.py), and the page that draws it (assets.py and the modules in web/).

`show --html` and the inspector of the mock show calls with it. It knows recordings and no sockets.
"""
