# embed_scripts(DIR OUTPUT): writes a C file that holds every .lua file below DIR.
#
# The bytes come in through the assembler (.incbin), so that megabytes of scripts cost no compile
# time.  The table is `embedded_scripts[]` of src/script/bundle.h; lua/types is documentation and
# stays out.
function(embed_scripts dir output)
  file(GLOB_RECURSE scripts CONFIGURE_DEPENDS RELATIVE ${dir} ${dir}/*.lua)
  list(FILTER scripts EXCLUDE REGEX "^types/")
  list(SORT scripts)
  set(code "#include \"script/bundle.h\"\n\n")
  set(table "const struct embedded_script embedded_scripts[] = {\n")
  set(paths "")
  set(i 0)
  foreach(script ${scripts})
    string(APPEND code "__asm__(\".section .rodata\\n\"\n"
      "        \"script_${i}:\\n.incbin \\\"${dir}/${script}\\\"\\n\"\n"
      "        \"script_${i}_end:\\n.byte 0\\n.previous\\n\");\n"
      "extern const char script_${i}[], script_${i}_end[];\n")
    string(APPEND table "    {\"${script}\", script_${i}, script_${i}_end},\n")
    list(APPEND paths ${dir}/${script})
    math(EXPR i "${i} + 1")
  endforeach()
  string(APPEND table "    {0, 0, 0},\n};\n")
  file(CONFIGURE OUTPUT ${output} CONTENT "${code}\n${table}" @ONLY)
  set_source_files_properties(${output} PROPERTIES OBJECT_DEPENDS "${paths}")
endfunction()
