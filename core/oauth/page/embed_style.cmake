# Write the pages' style sheet as a C string, byte by byte, so that style.css stays the only source.
file(READ ${FILE} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
file(WRITE ${OUT} "extern const char tb_page_style[];
const char tb_page_style[] = {${bytes}0};
")
