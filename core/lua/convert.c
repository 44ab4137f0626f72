/* JSON and plain Lua values. Whole numbers stay whole: what a double cannot hold exactly travels as
 * text. Neither way recurses: what is open waits in an array as deep as JSON may be. */
#include "base/text.h"
#include "lua/state.h"
#include <math.h>
#include <string.h>

enum {
    DEPTH = 32,
    VALUES = 4096,          /**< of an answer */
    TEXT_BYTES = 64 * 1024, /**< of an answer's texts in all */
};

#define EXACT_MAX ((INT64_C(1) << 53) - 1)

const char tb_script_null;

void tb_script_mark_array(lua_State *lua, int index)
{
    lua_pushvalue(lua, index);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_ARRAY);
    lua_setmetatable(lua, -2);
    lua_pop(lua, 1);
}

/* ---- JSON to Lua ---- */

static void push_integer(lua_State *lua, json_int_t value)
{
    char digits[24];
    if (value >= -EXACT_MAX && value <= EXACT_MAX) {
        lua_pushnumber(lua, (lua_Number)value);
        return;
    }
    struct tb_text text;
    tb_text_init_fixed(&text, digits, sizeof(digits));
    tb_text_add_format(&text, "%lld", (long long)value);
    lua_pushstring(lua, digits);
}

/* A value that contains nothing; a container as an empty table. */
static void push_one(lua_State *lua, const json_t *json)
{
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        lua_createtable(lua, 0, (int)json_object_size(json));
        break;
    case JSON_ARRAY:
        lua_createtable(lua, (int)json_array_size(json), 0);
        tb_script_mark_array(lua, -1);
        break;
    case JSON_STRING:
        lua_pushlstring(lua, json_string_value(json), json_string_length(json));
        break;
    case JSON_INTEGER:
        push_integer(lua, json_integer_value(json));
        break;
    case JSON_REAL:
        lua_pushnumber(lua, json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        lua_pushboolean(lua, json_is_true(json));
        break;
    case JSON_NULL:
        lua_pushlightuserdata(lua, (void *)(uintptr_t)&tb_script_null);
        break;
    }
}

struct source {
    const json_t *json;
    void *member; /* of an object, the next one; NULL: there is none */
    size_t index; /* of an array, the next one */
};

static struct source source_of(const json_t *json)
{
    return (struct source){
        .json = json,
        .member = json_is_object(json) ? json_object_iter((json_t *)(uintptr_t)json) : NULL};
}

/* The next member's key is pushed and its value given; NULL at the end. */
static const json_t *next_member(lua_State *lua, struct source *open)
{
    if (json_is_array(open->json)) {
        const json_t *value = json_array_get(open->json, open->index);
        if (value != NULL)
            lua_pushinteger(lua, (lua_Integer)++open->index);
        return value;
    }
    if (open->member == NULL)
        return NULL;
    const char *name = json_object_iter_key(open->member);
    const json_t *value = json_object_iter_value(open->member);
    lua_pushstring(lua, name);
    open->member = json_object_iter_next((json_t *)(uintptr_t)open->json, open->member);
    return value;
}

void tb_script_push(lua_State *lua, const json_t *json)
{
    struct source open[DEPTH];
    size_t depth = 0;
    luaL_checkstack(lua, 2 * DEPTH + 8, "a value is nested too deep");
    push_one(lua, json);
    if (json_is_object(json) || json_is_array(json))
        open[depth++] = source_of(json);
    while (depth > 0) {
        const json_t *value = next_member(lua, &open[depth - 1]);
        if (value == NULL) {
            if (--depth > 0)
                lua_rawset(lua, -3); /* this container is a member of the one around it */
            continue;
        }
        push_one(lua, value);
        if (!json_is_object(value) && !json_is_array(value)) {
            lua_rawset(lua, -3);
        } else {
            if (depth == DEPTH)
                luaL_error(lua, "a value is nested too deep");
            open[depth++] = source_of(value);
        }
    }
}

/* What the host tells is as deep as the host made it: two levels. */
static void push_leaf(lua_State *lua, const struct tb_script_member *member)
{
    if (member->json != NULL)
        tb_script_push(lua, member->json);
    else
        lua_pushlstring(lua, member->text.at == NULL ? "" : member->text.at, member->text.n);
}

static void push_list(lua_State *lua, const struct tb_script_member *member)
{
    const struct tb_script_member *items = member->members;
    bool named = member->members_n > 0 && items[0].name != NULL;
    int n = (int)member->members_n;
    lua_createtable(lua, named ? 0 : n, named ? n : 0);
    for (int i = 0; i < n; i++) {
        push_leaf(lua, &items[i]);
        if (named)
            lua_setfield(lua, -2, items[i].name);
        else
            lua_rawseti(lua, -2, i + 1);
    }
}

void tb_script_push_members(lua_State *lua, const struct tb_script_member *members, size_t n)
{
    luaL_checkstack(lua, 8, "too many values");
    lua_createtable(lua, 0, (int)n);
    for (size_t i = 0; i < n; i++) {
        if (members[i].text.at != NULL || members[i].json != NULL)
            push_leaf(lua, &members[i]);
        else
            push_list(lua, &members[i]);
        lua_setfield(lua, -2, members[i].name);
    }
}

/* ---- Lua to JSON ---- */

/* A container that is being read: its table lies on the stack, an object's current key above it. */
struct target {
    json_t *json;
    lua_Integer index, n; /* of a list */
};

struct reading {
    struct target open[DEPTH];
    size_t depth, values, bytes;
    const char *why;
};

static bool is_array(lua_State *lua, int index)
{
    if (lua_objlen(lua, index) > 0)
        return true;
    if (!lua_getmetatable(lua, index))
        return false;
    lua_rawgeti(lua, LUA_REGISTRYINDEX, TB_SCRIPT_ARRAY);
    bool marked = lua_rawequal(lua, -1, -2);
    lua_pop(lua, 2);
    return marked;
}

static json_t *read_number(lua_Number value, struct reading *reading)
{
    if (value == floor(value) && fabs(value) <= (lua_Number)EXACT_MAX)
        return json_integer((json_int_t)value);
    json_t *real = json_real(value);
    if (real == NULL)
        reading->why = "a number is not finite";
    return real;
}

static json_t *read_text(lua_State *lua, int index, struct reading *reading)
{
    size_t n;
    const char *text = lua_tolstring(lua, index, &n);
    reading->bytes += n;
    if (reading->bytes > TEXT_BYTES) {
        reading->why = "it holds more than 64 KiB of text";
        return NULL;
    }
    if (memchr(text, '\0', n) != NULL) { /* the books cannot keep it */
        reading->why = "a text holds a zero byte";
        return NULL;
    }
    json_t *json = json_stringn(text, n);
    if (json == NULL)
        reading->why = "a text is not UTF-8";
    return json;
}

/* The value at `index`; a table as an empty container. NULL with a reason. */
static json_t *read_one(lua_State *lua, int index, struct reading *reading)
{
    if (++reading->values > VALUES) {
        reading->why = "it holds more than 4,096 values";
        return NULL;
    }
    switch (lua_type(lua, index)) {
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(lua, index));
    case LUA_TNUMBER:
        return read_number(lua_tonumber(lua, index), reading);
    case LUA_TSTRING:
        return read_text(lua, index, reading);
    case LUA_TTABLE:
        return is_array(lua, index) ? json_array() : json_object();
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(lua, index) == &tb_script_null)
            return json_null();
        break;
    default:
        break;
    }
    reading->why = "it holds a function or another value that JSON does not have";
    return NULL;
}

static bool put_named(lua_State *lua, json_t *into, json_t *value, struct reading *reading)
{
    size_t n = 0;
    const char *name = lua_type(lua, -2) == LUA_TSTRING ? lua_tolstring(lua, -2, &n) : NULL;
    reading->bytes += n;
    if (name == NULL || strlen(name) != n || reading->bytes > TEXT_BYTES) {
        reading->why = "a name is not a text, or too long";
        json_decref(value);
        return false;
    }
    if (json_object_set_new(into, name, value) == 0)
        return true;
    reading->why = "a name is not UTF-8";
    return false;
}

/* Whether the table on top has as many members as a list of `n` has: no names beside them. */
static bool is_list_alone(lua_State *lua, lua_Integer n)
{
    lua_pushnil(lua);
    while (lua_next(lua, -2) != 0) {
        lua_pop(lua, 1);
        if (n-- == 0) {
            lua_pop(lua, 1);
            return false;
        }
    }
    return n == 0;
}

/* Begin with the table on top of the stack. */
static bool open_table(lua_State *lua, json_t *json, struct reading *reading)
{
    struct target target = {.json = json};
    tb_script_check(lua);
    if (reading->depth == DEPTH || !lua_checkstack(lua, 6)) {
        reading->why = "it is nested too deep";
        return false;
    }
    if (json_is_array(json)) {
        target.n = (lua_Integer)lua_objlen(lua, -1);
        if (target.n > VALUES || !is_list_alone(lua, target.n)) {
            reading->why = "a list has gaps or names, or too many values";
            return false;
        }
    } else {
        lua_pushnil(lua);
    }
    reading->open[reading->depth++] = target;
    return true;
}

/* Push the next member's value (above an object's key); false at the container's end, when nothing
 * but its table is left. */
static bool next_value(lua_State *lua, struct target *open)
{
    if (json_is_object(open->json))
        return lua_next(lua, -2) != 0;
    if (open->index == open->n)
        return false;
    lua_rawgeti(lua, -1, (int)++open->index);
    return true;
}

static bool read_members(lua_State *lua, struct reading *reading)
{
    while (reading->depth > 0) {
        struct target *open = &reading->open[reading->depth - 1];
        if (!next_value(lua, open)) {
            reading->depth--;
            lua_pop(lua, 1);
            continue;
        }
        json_t *value = read_one(lua, -1, reading);
        if (value == NULL)
            return false;
        if (json_is_array(open->json) ? json_array_append_new(open->json, value) != 0
                                      : !put_named(lua, open->json, value, reading))
            return false;
        if (!lua_istable(lua, -1))
            lua_pop(lua, 1);
        else if (!open_table(lua, value, reading))
            return false;
    }
    return true;
}

void tb_script_read(lua_State *lua, int index, struct tb_script_answer *out)
{
    struct reading reading = {.why = NULL};
    int top = lua_gettop(lua);
    *out = (struct tb_script_answer){.json = NULL};
    if (lua_isnoneornil(lua, index))
        return;
    luaL_checkstack(lua, 8, "it is nested too deep");
    out->json = read_one(lua, index, &reading); /* owns what is found in it from the beginning */
    if (out->json != NULL && lua_istable(lua, index)) {
        lua_pushvalue(lua, index);
        if (!open_table(lua, out->json, &reading) || !read_members(lua, &reading)) {
            json_decref(out->json);
            out->json = NULL;
        }
    }
    lua_settop(lua, top);
    out->why = reading.why;
}
