/* Resampling for what every processor of its architecture has: SSE2, or NEON. */
#define LANES 4
#define NAME(stem) stem##_baseline

#include "cubics.c"
#include "rows.c"
