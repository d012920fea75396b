# What a build on the ros-* wheels of PyPI needs. In a sourced ROS workspace it changes nothing.

# 1. Wheels have no setup.bash, yet ament finds its resource index by this variable.
if(NOT DEFINED ENV{AMENT_PREFIX_PATH})
  find_package(ament_cmake_core REQUIRED)
  get_filename_component(_wheels_prefix "${ament_cmake_core_DIR}/../../.." ABSOLUTE)
  set(ENV{AMENT_PREFIX_PATH} "${_wheels_prefix}")
endif()

# 2. The message packages in the wheels export include folders of the machine that made the wheels
#    (/opt/python/cp3XX-cp3XX/include/...), and CMake refuses to generate with a folder that is not there. Taken out at
#    the end of this directory, when every imported target is known. Our own targets find Python and NumPy themselves.
function(_aura_drop_missing_include_dirs)
  get_property(targets DIRECTORY PROPERTY IMPORTED_TARGETS)
  foreach(target IN LISTS targets)
    get_target_property(dirs ${target} INTERFACE_INCLUDE_DIRECTORIES)
    if(NOT dirs)
      continue()
    endif()
    set(kept "")
    foreach(dir IN LISTS dirs)
      # relative paths and generator expressions are not ours to judge
      if(NOT IS_ABSOLUTE "${dir}" OR EXISTS "${dir}")
        list(APPEND kept "${dir}")
      endif()
    endforeach()
    if(NOT "${kept}" STREQUAL "${dirs}")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _aura_drop_missing_include_dirs)
