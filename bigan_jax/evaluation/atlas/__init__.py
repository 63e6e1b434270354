"""A page on which pictures lie where their features put them; the same for TensorBoard's projector.

`making` makes it all; map.js, panel.js and atlas.css are what the page is moved by.
"""
