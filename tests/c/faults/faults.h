/* What a program can ask of libfaults.so: shim.c. */
#ifndef FAULTS_H
#define FAULTS_H

/* From now on calls fail as `spec` says, and are counted from zero; NULL ends that, and leaves the
 * counts as they are. Aborts the program if the text is wrong.
 *
 *     spec  = fault { ";" fault }
 *     fault = function [ ":" context ] [ "@" calls ] "=" effect
 *
 * The context is the end of what the call is about: a path, a name, "netlink", "TCP_INFO". Of the
 * calls that match, "3" is the third, "3+" that and all later ones, "3+2" the third, fifth and so
 * on; without calls it is every one. The effect is the name of an errno, or a word that the
 * function in shim.c knows. Every function knows "killed": the process is, before the call. */
void faults_arm(const char *spec);

/* How often the calls have had the effect, all faults together. */
unsigned faults_hits(void);

/* How often a function was called since faults_arm(), whatever the context; -1 if libfaults.so does
 * not stand in for it. */
int faults_calls(const char *function);

/* The functions, by position; NULL beyond the last. */
const char *faults_function(unsigned position);

/* How many lookups are held by the effect "hang". */
unsigned faults_hanging(void);

/* Lets them go on: they find nothing. Lookups that come later are held again. */
void faults_release(void);

/* The device and inode of the directory that was / for the lookup that was released last. */
void faults_root(unsigned long long *device, unsigned long long *inode);

#endif
