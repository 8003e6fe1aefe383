"""A call becomes one row and one message. The only builder of rows."""
