"""What users declare: how their documents are read, checked and kept. The only reader of user input."""
