"""What in the music moves whom: encoding models, and features of sound."""
