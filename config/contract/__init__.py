"""The HTTP contract as data: shapes, refusals, examples and links, for the OpenAPI document.

The tests check every request and answer of theirs against the document that is made of it.
"""
