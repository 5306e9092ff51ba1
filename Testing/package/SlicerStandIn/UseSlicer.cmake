# The part of Slicer's build that a scripted extension meets: names, folders and rules as in Slicer, nothing compiled.

set(EXTENSION_NAME "${PROJECT_NAME}")
include(CTest)

# Copies what is listed, each file under its own relative path, and installs the copies: what is not listed is not there.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(PARSE_ARGV 0 module "WITH_GENERIC_TESTS" "NAME" "SCRIPTS;RESOURCES")
  if(module_UNPARSED_ARGUMENTS OR NOT module_NAME)
    message(FATAL_ERROR "slicerMacroBuildScriptedModule takes NAME, SCRIPTS, RESOURCES and WITH_GENERIC_TESTS.")
  endif()
  set(copies "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  foreach(file IN LISTS module_SCRIPTS module_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "${module_NAME}/CMakeLists.txt lists ${file}, which does not exist.")
    endif()
    configure_file("${file}" "${copies}/${file}" COPYONLY)
  endforeach()
  install(DIRECTORY "${copies}/" DESTINATION "${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
endfunction()

# Slicer runs its tests from the build folder, whose copies are those that it installs. Here they run from the installed
# folder itself, under slicer-core; run_on_core.py takes Slicer's options.
function(_add_slicer_test name)
  add_test(NAME "${name}"
    COMMAND "${Slicer_PYTHON}" -I -S "${Slicer_STAND_IN_DIR}/run_on_core.py" --site-packages ${Slicer_SITE_PACKAGES}
      --additional-module-paths "${CMAKE_INSTALL_PREFIX}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}"
      --no-splash --testing ${ARGN}
    )
  set_tests_properties("${name}" PROPERTIES RUN_SERIAL TRUE)
endfunction()

function(slicer_add_python_test)
  cmake_parse_arguments(PARSE_ARGV 0 test "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS;SCRIPT_ARGS")
  get_filename_component(name "${test_SCRIPT}" NAME_WE)
  get_filename_component(script "${test_SCRIPT}" ABSOLUTE)
  if(NOT EXISTS "${script}")
    message(FATAL_ERROR "slicer_add_python_test names ${script}, which does not exist.")
  endif()
  _add_slicer_test("py_${test_TESTNAME_PREFIX}${name}"
    ${test_SLICER_ARGS} --python-script "${script}" ${test_SCRIPT_ARGS})
endfunction()

function(slicer_add_python_unittest)
  cmake_parse_arguments(PARSE_ARGV 0 test "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS")
  get_filename_component(name "${test_SCRIPT}" NAME_WE)
  _add_slicer_test("py_${test_TESTNAME_PREFIX}${name}"
    ${test_SLICER_ARGS} --python-code "slicer.testing.runUnitTest([], '${name}')")
endfunction()
