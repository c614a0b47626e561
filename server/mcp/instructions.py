"""Instructions for a client's model, given before it uses the tools."""

from server.mcp.answers import LIMIT

INSTRUCTIONS = f"""\
nla-explorer reads a language model's activations in words. A pair is a target model, an AV that turns one \
activation (after block K) into a short text, the reading, and an AR that turns the reading back into an \
activation. You can use it to audit a model: what does it hold that it has not said, and does that matter to what \
it says next?

A reading is written by another model. It is evidence, never a quotation of the target's thoughts, and it may be \
invented (confabulated). Treat it so:
1. Analyse the prompt (analyse), with a reply (generate) if you audit what the model says. Tokens come with what \
their readings hold.
2. Scores mean something by their distance from their nulls. FVE: the share of the activation's direction that the \
words hold; beside it `shuffled` (readings of other tokens of the same text) and `mean`. A reading near its null \
says nothing of its token. Template tokens, the first position and tokens flagged early or huge-norm read badly: \
leave them out.
3. Look for what keeps coming back (find_in_readings). `said_before` false means that the text had not said the \
words by then. One word in one reading is noise; the same topic in many readings, and not in those of a control \
prompt (the same prompt without the part that you suspect), is evidence. Always analyse that control, and compare.
4. Ask whether it matters to the model: causal_scores, beside `other` (the null: another reading at the same \
angle). `random` is a floor, not a null. A reading can score high and do nothing, and the reverse.
5. Test a claim by an edit (edit_and_patch): change only the words in question, name the words that you expect next \
as targets before you look, and believe it only where `verdict.changed` is true with a small p. Few other readings \
mean a large p. Each further try makes a success worth less: report how many you made.
6. Doubt the reading itself: agreement (of an analysis with several samples; a claim that recurs is truer), form_test \
(what a paraphrase, a translation or a shuffle leaves of it), and make_vector, read_vector for the difference of two \
tokens. For a claim about more than one text, start_study.
7. lens_of_word says how likely each layer finds a word as the next one: what could be said, not what is thought.

Report what would have counted against your claim, the scores with their nulls, and the permalink of every piece of \
evidence, so that a person can look. Say so when the evidence is weak. keep_finding puts it into a notebook, where \
your words stand beside the evidence.

Positions count tokens from 0. Answers have at most {LIMIT:,} characters; `next` says where to go on (offset), \
`note` what was left out, and what is not known or not measured is left out. Long work reports progress and goes on \
when you stop waiting: ask the same again, nothing is computed twice.
"""
