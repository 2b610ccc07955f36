/* Hands controllers on to cgroups below, or no longer. */
#include "deed.h"

DEED {
    put_cgroup("unified", "cgroup.subtree_control", "+hugetlb");
}
