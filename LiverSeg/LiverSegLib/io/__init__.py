"""Images and labels from and to files: :mod:`LiverSegLib.io.files` is the door."""
