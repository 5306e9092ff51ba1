# What find_package(Slicer) finds when the extension is packaged without Slicer; see README.md beside this file.
#
# make_package.py gives Slicer_VERSION_SHORT (5.13), Slicer_PYTHON and Slicer_SITE_PACKAGES (its packages, as a list).

set(Slicer_LIB_DIR "lib/Slicer-${Slicer_VERSION_SHORT}")
set(Slicer_SHARE_DIR "share/Slicer-${Slicer_VERSION_SHORT}")
set(Slicer_QTSCRIPTEDMODULES_LIB_DIR "${Slicer_LIB_DIR}/qt-scripted-modules")

set(Slicer_USE_FILE "${CMAKE_CURRENT_LIST_DIR}/UseSlicer.cmake")
set(Slicer_EXTENSION_GENERATE_CONFIG "${CMAKE_CURRENT_LIST_DIR}/GenerateConfig.cmake")
set(Slicer_EXTENSION_CPACK "${CMAKE_CURRENT_LIST_DIR}/ExtensionCPack.cmake")
set(Slicer_STAND_IN_DIR "${CMAKE_CURRENT_LIST_DIR}")
