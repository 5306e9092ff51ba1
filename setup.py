"""Finds the packages of the library; all else about it is in pyproject.toml.

What pyproject.toml can find lies below one folder, and the weights lie elsewhere.
"""

from setuptools import find_packages, setup

setup(packages=[*find_packages("LiverSeg", include=["LiverSegLib", "LiverSegLib.*"]), "LiverSegLib.Models"])
