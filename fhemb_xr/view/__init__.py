"""The viewer: hours of many people browsed, their faces beside them, spans marked by hand."""
