/* text: keep what a program printed fit to be shown: one line, valid UTF-8. */
#ifndef SIDECAR_TEXT_H
#define SIDECAR_TEXT_H

/* Control characters become spaces; in text that is not UTF-8 (or was cut inside a character) all
 * that is not ASCII becomes '?'. */
void text_clean(char *text);

#endif
