# Write the migrations of a room or plugin as a C table that ends with number 0. The bytes stand as they are in the file, so the .sql file stays the
# only source and its checksum can be taken from either.
set(rows "")
set(texts "")
foreach(file ${FILES})
  get_filename_component(base ${file} NAME_WE)
  string(REGEX MATCH "^0*([0-9]+)_(.*)$" _ ${base})
  set(number ${CMAKE_MATCH_1})
  set(name ${CMAKE_MATCH_2})
  file(READ ${file} hex HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND texts "static const unsigned char sql_${number}[] = {${bytes}0};\n")
  string(APPEND rows "    {${number}, \"${name}\", (const char *)sql_${number}},\n")
endforeach()
file(WRITE ${OUT} "#include <tongbao/plugin.h>

${texts}
extern const struct tb_migration ${SYMBOL}[];
const struct tb_migration ${SYMBOL}[] = {
${rows}    {0, NULL, NULL},
};
")
