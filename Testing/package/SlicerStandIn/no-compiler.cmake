# project(LiverSegExtension) asks for C and C++ as every Slicer extension does, but there is nothing to compile here:
# this says that the compilers are known and work, so that none is looked for and tried.
foreach(language C CXX)
  set(CMAKE_${language}_COMPILER "${CMAKE_COMMAND}")
  set(CMAKE_${language}_COMPILER_ID_RUN TRUE)
  set(CMAKE_${language}_COMPILER_ID "None")
  set(CMAKE_${language}_COMPILER_FORCED TRUE)
endforeach()
