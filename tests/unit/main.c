/* The main of a program of unit tests that brings none of its own. */
#include "unit.h"

int main(int argc, char **argv)
{
    return test_groups_run(argc, argv);
}
