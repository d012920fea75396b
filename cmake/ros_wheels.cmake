# Settings for a build with the ros-* wheels of PyPI. They change nothing in a sourced ROS workspace.

# 1. ament finds its resource index with this variable, which setup.bash would set. Wheels have no setup.bash.
if(NOT DEFINED ENV{AMENT_PREFIX_PATH})
  find_package(ament_cmake_core REQUIRED)
  get_filename_component(_wheels_prefix "${ament_cmake_core_DIR}/../../.." ABSOLUTE)
  set(ENV{AMENT_PREFIX_PATH} "${_wheels_prefix}")
endif()

# 2. CMake rejects some include folders. This function corrects them after all targets of this directory are defined:
#    - The message packages in the wheels export folders of the machine that built the wheels (/opt/python/cp3XX-cp3XX/
#      include/...). It removes them, because the targets here find Python and NumPy by themselves.
#    - The targets here would export the folder of NumPy. It may be in the source folder, inside the virtual environment
#      of ./run, and CMake exports no such folder. The function restricts it to the build.
function(_aura_correct_include_dirs)
  get_property(imported DIRECTORY PROPERTY IMPORTED_TARGETS)
  get_property(built DIRECTORY PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target IN LISTS imported built)
    get_target_property(dirs ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT dirs)
      continue()
    endif()
    set(kept "")
    foreach(dir IN LISTS dirs)
      cmake_path(IS_PREFIX CMAKE_CURRENT_SOURCE_DIR "${dir}" in_source)
      if(in_source AND target IN_LIST built)
        list(APPEND kept "$<BUILD_INTERFACE:${dir}>")
      elseif(NOT IS_ABSOLUTE "${dir}" OR EXISTS "${dir}" OR target IN_LIST built)
        list(APPEND kept "${dir}") # keeps generator expressions and relative paths
      endif()
    endforeach()
    if(NOT "${kept}" STREQUAL "${dirs}")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _aura_correct_include_dirs)
