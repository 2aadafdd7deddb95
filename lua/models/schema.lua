--- JSON Schema keywords, by what has to happen to them.

local function set(...)
  local names = {}
  for _, name in ipairs { ... } do names[name] = true end
  return names
end

return {
  -- Where further schemas stand.
  single = { "items", "additionalProperties", "additionalItems", "contains", "propertyNames",
    "not", "if", "then", "else", "unevaluatedItems", "unevaluatedProperties" },
  lists = { "anyOf", "oneOf", "allOf", "prefixItems" },
  maps = { "properties", "patternProperties", "$defs", "definitions", "dependentSchemas" },

  -- How Google's own schemas may spell words.
  snake = {
    any_of = "anyOf", additional_properties = "additionalProperties", min_items = "minItems",
    max_items = "maxItems", min_length = "minLength", max_length = "maxLength",
    min_properties = "minProperties", max_properties = "maxProperties",
    property_ordering = "propertyOrdering",
  },

  numeric = { "minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties",
    "minimum", "maximum" },

  -- A root with one of these is a schema and not a bare map of properties.
  schema_words = set("type", "properties", "$ref", "anyOf", "oneOf", "allOf", "items", "enum",
    "const", "additionalProperties", "required", "not", "if", "$defs", "definitions",
    "patternProperties", "description", "title", "$schema"),

  types = set("string", "number", "integer", "boolean", "object", "array", "null"),

  profiles = {
    claude_answer = {
      hinted = set("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
        "minLength", "maxLength", "minItems", "maxItems", "uniqueItems", "minProperties",
        "maxProperties"),
      dropped = set("$schema", "propertyOrdering"),
    },
    gemini_strict = {
      kept = set("type", "description", "properties", "required", "items", "enum", "minimum",
        "maximum"),
      hinted = set("minLength", "maxLength", "pattern", "exclusiveMinimum", "exclusiveMaximum",
        "uniqueItems", "multipleOf", "default", "examples", "minItems", "maxItems", "format"),
    },
    gemini_rich = {
      kept = set("type", "description", "properties", "required", "items", "enum", "minimum",
        "maximum", "minItems", "maxItems", "format", "title", "anyOf", "additionalProperties",
        "$id", "$ref", "$defs", "definitions", "prefixItems", "propertyOrdering", "$anchor"),
      hinted = set("minLength", "maxLength", "pattern", "exclusiveMinimum", "exclusiveMaximum",
        "uniqueItems", "multipleOf", "default", "examples"),
    },
  },
}
