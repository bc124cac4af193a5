"""What `tulle dev` is made of: the file that says what to run (START at tulle_yaml.py), and the running of it (running.py)."""
