"""What is told of a result: the report and the picture."""
