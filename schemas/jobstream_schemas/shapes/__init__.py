"""Shapes: what a job's dataclass looks like to this package, one file for each kind of type.

A shape is read from the class once (`declared`). Its verbs (`shape`) make the schema, the encoder
and the readers, so these can never see different types. To add a type, write one more file with
its verbs and a `KIND`, and name the file in `declared.KINDS`. Nothing else asks of what kind a
shape is.
"""
