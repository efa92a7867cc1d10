"""What a reviewer is shown of a request, pure: hostile text made visible, lines, rows, the view, its digest.

No HTML and no database: templates draw what is built here.
"""
