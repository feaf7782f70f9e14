/*
 * Counts the words of every file below /inputs and writes the N most frequent to
 * /outputs/counts.txt, most frequent first, equal ones in byte order; N is the first argument,
 * 10 when there is none. Prints one line of summary.
 *
 * A word is a run of ASCII letters, digits, apostrophes and bytes above 127, letters lower-cased.
 * So text in any language in UTF-8 is counted, but only ASCII letters are folded.
 *
 * Build: clang --target=wasm32-unknown-wasi --sysroot=/usr -O2 -Wl,--strip-all -o word-count.wasm word-count.c
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { WORD_MAX = 255, PATH_LENGTH_MAX = 4096, BUFFER = 1 << 16 };

typedef struct {
  char *text;
  uint64_t count;
} Entry;

/* An open hash table; `capacity` is a power of two and at least a quarter of it is free. */
static Entry *table;
static size_t capacity = 1 << 12;
static size_t used;
static uint64_t words;
static uint64_t files;

static void *checked(void *p) {
  if (!p) {
    fprintf(stderr, "word-count: out of memory\n");
    exit(2);
  }
  return p;
}

static Entry *slot(Entry *in, size_t size, const char *text) {
  uint32_t hash = 2166136261u;
  for (const char *c = text; *c; c++) hash = (hash ^ (unsigned char)*c) * 16777619u;
  size_t at = hash & (size - 1);
  while (in[at].text && strcmp(in[at].text, text) != 0) at = (at + 1) & (size - 1);
  return &in[at];
}

static void grow(void) {
  Entry *bigger = checked(calloc(capacity * 2, sizeof(Entry)));
  for (size_t i = 0; i < capacity; i++) {
    if (table[i].text) *slot(bigger, capacity * 2, table[i].text) = table[i];
  }
  free(table);
  table = bigger;
  capacity *= 2;
}

static void count(char *word, size_t length) {
  if (length == 0) return;
  word[length] = 0;
  words++;
  Entry *entry = slot(table, capacity, word);
  if (!entry->text) {
    entry->text = checked(strdup(word));
    if (++used > capacity / 4 * 3) {
      grow();
      entry = slot(table, capacity, word);
    }
  }
  entry->count++;
}

static int is_part(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '\'' || c > 127;
}

static void count_file(const char *path) {
  static unsigned char buffer[BUFFER];
  char word[WORD_MAX + 1];
  size_t length = 0, n;
  FILE *file = fopen(path, "rb");
  if (!file) {
    fprintf(stderr, "word-count: %s: %s\n", path, strerror(errno));
    exit(1);
  }
  while ((n = fread(buffer, 1, sizeof buffer, file)) > 0) {
    for (size_t i = 0; i < n; i++) {
      unsigned char c = buffer[i];
      if (c >= 'A' && c <= 'Z') c += 'a' - 'A';
      if (!is_part(c)) {
        count(word, length);
        length = 0;
      } else if (length < WORD_MAX) {
        word[length++] = (char)c;
      }
    }
  }
  count(word, length);
  fclose(file);
  files++;
}

/* One buffer for every level: a directory tree may be deep, and the stack is small. */
static char path[PATH_LENGTH_MAX];

static void walk(size_t length) {
  struct stat info;
  /* What cannot be looked at (a symbolic link, say) is not counted. */
  if (stat(path, &info) != 0) return;
  if (S_ISREG(info.st_mode)) {
    count_file(path);
    return;
  }
  DIR *directory = S_ISDIR(info.st_mode) ? opendir(path) : NULL;
  if (!directory) return;
  for (struct dirent *entry; (entry = readdir(directory));) {
    if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")) continue;
    size_t room = sizeof path - length;
    int added = snprintf(path + length, room, "/%s", entry->d_name);
    if (added > 0 && (size_t)added < room) walk(length + (size_t)added);
    path[length] = 0;
  }
  closedir(directory);
}

static int by_count(const void *a, const void *b) {
  const Entry *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return strcmp(x->text, y->text);
}

int main(int argc, char **argv) {
  char *end = NULL;
  unsigned long top = argc > 1 ? strtoul(argv[1], &end, 10) : 10;
  if (argc > 2 || (argc > 1 && (*argv[1] < '0' || *argv[1] > '9' || *end))) {
    fprintf(stderr, "usage: word-count [how many words to list]\n");
    return 64;
  }
  table = checked(calloc(capacity, sizeof(Entry)));
  strcpy(path, "/inputs");
  walk(strlen(path));

  Entry *sorted = checked(calloc(used + 1, sizeof(Entry)));
  size_t n = 0;
  for (size_t i = 0; i < capacity; i++) {
    if (table[i].text) sorted[n++] = table[i];
  }
  qsort(sorted, n, sizeof(Entry), by_count);

  FILE *out = fopen("/outputs/counts.txt", "w");
  if (!out) {
    fprintf(stderr, "word-count: /outputs/counts.txt: %s\n", strerror(errno));
    return 1;
  }
  for (size_t i = 0; i < n && i < top; i++) {
    fprintf(out, "%llu %s\n", (unsigned long long)sorted[i].count, sorted[i].text);
  }
  if (fclose(out) != 0) {
    fprintf(stderr, "word-count: /outputs/counts.txt: %s\n", strerror(errno));
    return 1;
  }
  printf("%llu words, %zu different, in %llu files\n", (unsigned long long)words, n,
         (unsigned long long)files);
  return 0;
}
