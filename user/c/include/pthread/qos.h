/* The class of a thread. */
#ifndef PTHREAD_QOS_H
#define PTHREAD_QOS_H

#include <sys/qos.h>

/* Sets the class of the calling thread, and a relative priority from 0 to QOS_MIN_RELATIVE_PRIORITY. Returns 0, or EINVAL
 * if one of the two is out of range, or if the thread has no class, as those of thread_start. */
int pthread_set_qos_class_self_np(qos_class_t qos_class, int relative_priority);

#endif
