# What a build on the ros-* wheels of PyPI needs. In a sourced ROS workspace it changes nothing.

# 1. Wheels have no setup.bash, yet ament finds its resource index by this variable.
if(NOT DEFINED ENV{AMENT_PREFIX_PATH})
  find_package(ament_cmake_core REQUIRED)
  get_filename_component(_wheels_prefix "${ament_cmake_core_DIR}/../../.." ABSOLUTE)
  set(ENV{AMENT_PREFIX_PATH} "${_wheels_prefix}")
endif()

# 2. Include folders that CMake refuses to generate with. Mended at the end of this directory, when all targets are known:
#    - the message packages in the wheels export folders of the machine that made the wheels (/opt/python/cp3XX-cp3XX/
#      include/...). They are dropped: our own targets find Python and NumPy themselves.
#    - ours would export NumPy's folder, and CMake does not export one in the source folder, where it is when the virtual
#      environment is (./run). It is kept for the build only.
function(_aura_mend_include_dirs)
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
        list(APPEND kept "${dir}") # generator expressions and relative paths are not ours to judge
      endif()
    endforeach()
    if(NOT "${kept}" STREQUAL "${dirs}")
      set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${kept}")
    endif()
  endforeach()
endfunction()
cmake_language(DEFER CALL _aura_mend_include_dirs)
