# The description that the Extensions Manager reads in the installed extension: a keyword a line, then its value.

# Slicer hands these on without quotes, so a semicolon would cut the rest of the text off.
foreach(name HOMEPAGE CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  if("${EXTENSION_${name}}" MATCHES ";")
    message(FATAL_ERROR "EXTENSION_${name} holds a semicolon, at which CMake would cut it; write it without.")
  endif()
endforeach()

file(WRITE "${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.s4ext" "scm git
scmurl ${EXTENSION_HOMEPAGE}
scmrevision ${${EXTENSION_NAME}_FORCED_WC_REVISION}
depends ${EXTENSION_DEPENDS}
build_subdirectory .
homepage ${EXTENSION_HOMEPAGE}
contributors ${EXTENSION_CONTRIBUTORS}
category ${EXTENSION_CATEGORY}
iconurl ${EXTENSION_ICONURL}
description ${EXTENSION_DESCRIPTION}
screenshoturls ${EXTENSION_SCREENSHOTURLS}
enabled 1
")
install(FILES "${CMAKE_BINARY_DIR}/${EXTENSION_NAME}.s4ext" DESTINATION "${Slicer_SHARE_DIR}")
