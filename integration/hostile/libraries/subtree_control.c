/* Hands controllers on to cgroups below, or no longer. */
#include "library.h"

ON_LOAD {
    put_cgroup("unified", "cgroup.subtree_control", "+hugetlb");
}
