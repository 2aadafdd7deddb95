#include "script/watch.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define WATCH_SIGNAL (SIGRTMIN + 4)

// Two ticks: the first may come right after the run began.
enum { LONG_RUN = 2 };

static void on_tick(int number, siginfo_t *info, void *context)
{
    struct watch *w = info->si_value.sival_ptr;

    (void)number;
    (void)context;
    // A signal that somebody else sent carries no watch.
    if (info->si_code != SI_TIMER || !w || !w->thread)
        return;
    // A kernel that looks at its clocks less often reports several ticks in one signal.
    w->ticks += 1 + info->si_overrun;
    if (w->ticks >= LONG_RUN)
        lua_sethook(w->thread, w->hook, LUA_MASKCOUNT, 1);
}

int watch_start(struct watch *w, double tick, lua_Hook hook)
{
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = WATCH_SIGNAL};
    struct timespec period = {.tv_sec = (time_t)tick,
                              .tv_nsec = (long)((tick - (double)(time_t)tick) * 1e9)};
    struct itimerspec every = {.it_interval = period, .it_value = period};

    memset(w, 0, sizeof(*w));
    w->hook = hook;
    w->tick = tick;
    sigemptyset(&action.sa_mask);
    if (sigaction(WATCH_SIGNAL, &action, NULL) < 0)
        return -errno;
    event.sigev_value.sival_ptr = w;
    event.sigev_notify_thread_id = gettid();
    if (timer_create(CLOCK_THREAD_CPUTIME_ID, &event, &w->timer) < 0)
        return -errno;
    if (timer_settime(w->timer, 0, &every, NULL) < 0) {
        timer_delete(w->timer);
        return -errno;
    }
    w->armed = true;
    return 0;
}

void watch_stop(struct watch *w)
{
    if (w->armed)
        timer_delete(w->timer);
    w->armed = false;
    w->thread = NULL;
}
