# Write Lua texts as a C table that ends with a NULL name: {name, whether scripts find it as a namespace, bytes, length}.
# What stands in lua/tongbao is for scripts, the rest for the host alone.
set(rows "")
set(texts "")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME_WE)
  get_filename_component(folder ${file} DIRECTORY)
  get_filename_component(folder ${folder} NAME)
  set(namespace false)
  if(folder STREQUAL tongbao)
    set(namespace true)
  endif()
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND texts "static const unsigned char lua_${name}[] = {${bytes}};\n")
  string(APPEND rows "    {\"${name}\", ${namespace}, (const char *)lua_${name}, sizeof lua_${name}},\n")
endforeach()
file(WRITE ${OUT} "#include \"lua/state.h\"

${texts}
const struct tb_script_text tb_script_texts[] = {
${rows}    {NULL, false, NULL, 0},
};
")
