# Slicer writes here what other extensions need to build against this one; nobody builds against a scripted module.
