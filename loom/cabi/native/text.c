/* Texts that the caller owns, and the last error of each thread.

   A reply is allocated here and remembered until it is freed, so that freeing a pointer
   twice, or one that is not ours (ctypes with restype c_char_p hands back a copy), is
   ignored and reported instead of ending the process. The table is a hash set with open
   addressing and linear probing; a removed entry is filled by its followers. */

#include "internal.h"
#include "loom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static loom_mutex table_mutex = LOOM_MUTEX;
static char **table;
static size_t table_size, table_used; /* size: a power of two */

static char out_of_memory[] = "{\"error\":\"out of memory: no room for the reply.\"}";
static LOOM_THREAD_LOCAL char last_error[2048] = "no error";

static size_t slot_of(const char *text) {
    uint64_t bits = (uint64_t)(uintptr_t)text * 0x9E3779B97F4A7C15u;
    return (size_t)(bits >> 20) & (table_size - 1);
}

static void place(char *text) {
    size_t slot = slot_of(text);
    while (table[slot])
        slot = (slot + 1) & (table_size - 1);
    table[slot] = text;
}

static bool grow(void) {
    char **old = table;
    size_t count = table_size, size = count ? count * 2 : 64;
    char **larger = calloc(size, sizeof *larger);
    if (!larger)
        return false;
    table = larger;
    table_size = size;
    for (size_t i = 0; i < count; i++)
        if (old[i])
            place(old[i]);
    free(old);
    return true;
}

static bool remember(char *text) {
    loom_lock(&table_mutex);
    bool room = table_used * 2 < table_size || grow();
    if (room) {
        place(text);
        table_used++;
    }
    loom_unlock(&table_mutex);
    return room;
}

static bool forget(const char *text) {
    bool found = false;
    loom_lock(&table_mutex);
    if (table_size) {
        size_t mask = table_size - 1, slot = slot_of(text);
        while (table[slot] && table[slot] != text)
            slot = (slot + 1) & mask;
        found = table[slot] != NULL;
        if (found) {
            table[slot] = NULL;
            table_used--;
            for (slot = (slot + 1) & mask; table[slot]; slot = (slot + 1) & mask) {
                char *moved = table[slot];
                table[slot] = NULL;
                place(moved);
            }
        }
    }
    loom_unlock(&table_mutex);
    return found;
}

/* A copy of `size` bytes that the caller of the library will free; never NULL. */
char *loom_text(const char *data, size_t size) {
    char *text = malloc(size + 1);
    if (text) {
        memcpy(text, data, size);
        text[size] = 0;
        if (remember(text))
            return text;
        free(text);
    }
    loom_set_error("out of memory: no room for the reply.");
    return out_of_memory;
}

/* {"error": message} as the caller's text; the thread's last error too. */
char *loom_error_reply(const char *message) {
    static const char head[] = "{\"error\":\"", tail[] = "\"}";
    size_t length = strlen(message);
    char *buffer = malloc(sizeof head + sizeof tail + 6 * length);
    if (!buffer)
        return out_of_memory;
    char *end = buffer + sprintf(buffer, "%s", head);
    for (const char *c = message; *c; c++) {
        if (*c == '"' || *c == '\\')
            end += sprintf(end, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            end += sprintf(end, "\\u%04x", *c);
        else
            *end++ = *c;
    }
    end += sprintf(end, "%s", tail);
    char *text = loom_text(buffer, (size_t)(end - buffer));
    free(buffer);
    loom_set_error(message);
    return text;
}

void loom_set_error(const char *message) {
    size_t length = strlen(message), most = sizeof last_error - 1;
    if (length > most)
        for (length = most; length && ((unsigned char)message[length] & 0xC0) == 0x80;)
            length--; /* not within a character */
    memmove(last_error, message, length);
    last_error[length] = 0;
}

LOOM_API const char *Loom_LastError(void) {
    return last_error;
}

LOOM_API void Loom_FreeCString(char *text) {
    if (!text || text == out_of_memory)
        return;
    if (forget(text))
        free(text);
    else
        loom_set_error("Loom_FreeCString: the pointer is no reply of Loom, or was "
                       "freed before; it was left alone.");
}
