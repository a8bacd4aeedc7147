"""Rows of the text family."""

from __future__ import annotations

from collections import Counter

import numpy as np
from rouge_score.rouge_scorer import RougeScorer
from support.case import Case, as_one_array, weighted

import jaxmetrics as jm


def pairs_of_sentences(rng, rows):
    """Return predictions and references of up to 7 and 6 tokens, padded with 0."""
    references = rng.integers(1, 5, (rows, 6))
    preds = np.concatenate([references, rng.integers(1, 5, (rows, 1))], axis=-1)
    preds = np.where(rng.random(preds.shape) < 0.3, np.roll(preds, 1, -1), preds)
    for ids in (preds, references):
        length = rng.integers(0, ids.shape[-1] + 1, rows)
        ids[np.arange(ids.shape[-1]) >= length[:, None]] = 0
    return dict(preds=preds.astype(np.int32), references=references.astype(np.int32))


def sentence(ids):
    """Return the tokens before the padding."""
    return ids[: np.argmax(ids == 0)].tolist() if (ids == 0).any() else ids.tolist()


def _edits(pred, reference):
    """Return hits, substitutions, deletions, insertions, traced back as RapidFuzz."""
    start = end = 0
    while pred[start:] and reference[start:] and pred[start] == reference[start]:
        start += 1
    pred, reference = pred[start:], reference[start:]
    while pred and reference and pred[-1] == reference[-1]:
        pred, reference, end = pred[:-1], reference[:-1], end + 1
    d = np.add.outer(np.arange(len(reference) + 1), np.arange(len(pred) + 1))
    for r in range(1, len(reference) + 1):
        for p in range(1, len(pred) + 1):
            replaced = d[r - 1, p - 1] + (reference[r - 1] != pred[p - 1])
            d[r, p] = min(d[r - 1, p] + 1, d[r, p - 1] + 1, replaced)
    hits, counts = start + end, [0, 0, 0]
    r, p = len(reference), len(pred)
    while r or p:
        if r and (not p or d[r, p] == d[r - 1, p] + 1):
            counts[1], r = counts[1] + 1, r - 1
        elif not r or d[r, p - 1] < d[r - 1, p - 1]:
            counts[2], p = counts[2] + 1, p - 1
        else:
            same = reference[r - 1] == pred[p - 1]
            hits, counts[0] = hits + same, counts[0] + (not same)
            r, p = r - 1, p - 1
    return np.array([hits, *counts])


def _of_edits(ratio):
    def reference(preds, references):
        edits = [_edits(sentence(p), sentence(r)) for p, r in zip(preds, references)]
        return ratio(*np.sum(edits, axis=0), len(edits))

    return reference


def _weighted_error_rate(preds, references, weights):
    edits = [_edits(sentence(p), sentence(r)) for p, r in zip(preds, references)]
    return _error_rate(*weights @ np.array(edits), weights.sum())


def _error_rate(h, s, d, i, n):
    return (s + d + i) / (h + s + d)


def _preserved(h, s, d, i, n):
    return h / (h + s + d) * h / (h + s + i)


def _ngrams(tokens, n):
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def with_two_references(rng, rows):
    drawn = pairs_of_sentences(rng, rows)
    more = pairs_of_sentences(rng, rows)["references"]
    return dict(
        preds=drawn["preds"], references=np.stack([drawn["references"], more], axis=1)
    )


def _bleu(preds, references, n):
    """Return BLEU without smoothing, with the closest reference length."""
    matches, counts = np.zeros(n), np.zeros(n)
    pred_length = reference_length = 0
    for pred, group in zip(preds, references):
        pred, group = sentence(pred), [sentence(x) for x in group]
        sizes = [len(x) for x in group if x] or [0]
        pred_length += len(pred)
        reference_length += min((abs(x - len(pred)), x) for x in sizes)[1]
        for order in range(n):
            have = _ngrams(pred, order + 1)
            most = Counter()
            for x in group:
                most |= _ngrams(x, order + 1)
            counts[order] += have.total()
            matches[order] += (have & most).total()
    penalty = np.exp(min(1 - reference_length / pred_length, 0))
    return penalty * np.exp(np.log(matches / counts).mean())


def _orders(pred, reference, n):
    """Return matches and n-grams of both sides, int `[3, n]`."""
    counts = np.zeros((3, n))
    for order in range(n):
        have, other = _ngrams(pred, order + 1), _ngrams(reference, order + 1)
        own = have.total() if other else 0
        counts[:, order] = (have & other).total(), own, other.total()
    return counts


def _f_of_orders(counts, beta):
    matches, own, other = counts[:, (counts[1:] > 0).all(0)]
    if not matches.sum():
        return 0
    precision, recall = (matches / own).mean(), (matches / other).mean()
    return (1 + beta**2) * precision * recall / (beta**2 * precision + recall)


def _chrf(preds, references, n=3, beta=2):
    pairs = zip(preds, references)
    return _f_of_orders(
        sum(_orders(sentence(p), sentence(r), n) for p, r in pairs), beta
    )


def _weighted_chrf(preds, references, weights):
    orders = [_orders(sentence(p), sentence(r), 3) for p, r in zip(preds, references)]
    return _f_of_orders(np.tensordot(weights, orders, 1), 2)


def with_words(rng, rows):
    """Return characters and words, with two references for each prediction."""
    characters, words = with_two_references(rng, rows), with_two_references(rng, rows)
    words = dict(pred_words=words["preds"], reference_words=words["references"])
    return characters | words


def _chrf_of_words(preds, references, pred_words, reference_words):
    totals = 0
    for pred, group, words, word_group in zip(
        preds, references, pred_words, reference_words
    ):
        each = [
            np.concatenate(
                [
                    _orders(sentence(pred), sentence(x), 3),
                    _orders(sentence(words), sentence(y), 2),
                ],
                axis=-1,
            )
            for x, y in zip(group, word_group)
        ]
        absent = [not sentence(x) for x in group]
        scores = [-1 if a else _f_of_orders(x, 2) for a, x in zip(absent, each)]
        totals = totals + each[np.argmax(np.float32(scores))]
    return _f_of_orders(totals, 2)


def _rouge(score, matches_of):
    def reference(preds, references):
        scores = []
        for pred, other in zip(preds, references):
            matches, size, other_size = matches_of(sentence(pred), sentence(other))
            precision, recall = matches / max(size, 1), matches / max(other_size, 1)
            f1 = 2 * precision * recall / (precision + recall) if matches else 0
            scores.append(dict(precision=precision, recall=recall, f1=f1)[score])
        return np.mean(scores)

    return reference


def _bigrams(pred, reference):
    pred, reference = _ngrams(pred, 2), _ngrams(reference, 2)
    return (pred & reference).total(), pred.total(), reference.total()


def _subsequence(pred, reference):
    longest = np.zeros((len(pred) + 1, len(reference) + 1), int)
    for i, a in enumerate(pred):
        for j, b in enumerate(reference):
            either = max(longest[i, j + 1], longest[i + 1, j])
            longest[i + 1, j + 1] = longest[i, j] + 1 if a == b else either
    return longest[-1, -1], len(pred), len(reference)


def _rouge_of_summaries(preds, references):
    """Return rouge_score's mean recall, with the token 4 in the place of newlines."""

    def text(ids):
        return " ".join("\n" if x == 4 else str(x) for x in sentence(ids))

    scorer = RougeScorer(["rougeLsum"])
    scores = [scorer.score(text(r), text(p)) for p, r in zip(preds, references)]
    return np.mean([score["rougeLsum"].recall for score in scores])


def _squad(preds, references):
    values = []
    for pred, group in zip(preds, references):
        pred, group = sentence(pred), [sentence(x) for x in group]
        group = [x for x in group if x] or [[]]
        common = [(_ngrams(pred, 1) & _ngrams(x, 1)).total() for x in group]
        f1 = [
            2 * c / (len(pred) + len(x)) if pred or x else 1
            for c, x in zip(common, group)
        ]
        values.append((pred in group, max(f1)))
    return np.mean(values, axis=0)


def edit_counts(rng, rows):
    edits, words = rng.integers(0, 9, rows), rng.integers(0, 12, rows)
    return dict(edits=edits.astype(np.int32), reference_words=words.astype(np.float32))


def _row(name, metric, ratio):
    return Case(name, metric, pairs_of_sentences, _of_edits(ratio), exact=True)


CASES = (
    _row("word error rate", jm.WordErrorRate(ignore_index=0), _error_rate),
    Case(
        "word error rate weighted",
        jm.WordErrorRate(ignore_index=0, weighted=True),
        weighted(pairs_of_sentences),
        _weighted_error_rate,
    ),
    _row("char error rate", jm.CharErrorRate(ignore_index=0), _error_rate),
    _row(
        "match error rate",
        jm.MatchErrorRate(ignore_index=0),
        lambda h, s, d, i, n: (s + d + i) / (h + s + d + i),
    ),
    _row("word info preserved", jm.WordInfoPreserved(ignore_index=0), _preserved),
    _row(
        "word info lost",
        jm.WordInfoLost(ignore_index=0),
        lambda *counts: 1 - _preserved(*counts),
    ),
    _row(
        "edit distance",
        jm.EditDistance(ignore_index=0),
        lambda h, s, d, i, n: (s + d + i) / n,
    ),
    Case(
        "translation edit rate",
        jm.TranslationEditRate(),
        edit_counts,
        lambda edits, reference_words: edits.sum() / reference_words.sum(),
    ),
    Case(
        "bleu",
        jm.BLEU(n=3, smooth="none", ignore_index=0),
        with_two_references,
        lambda preds, references: _bleu(preds, references, 3),
        exact=True,
    ),
    Case(
        "chrf",
        jm.chrF(n=3, ignore_index=0),
        pairs_of_sentences,
        _chrf,
        exact=True,
    ),
    Case(
        "chrf weighted",
        jm.chrF(n=3, ignore_index=0, weighted=True),
        weighted(pairs_of_sentences),
        _weighted_chrf,
    ),
    Case(
        "chrf of words",
        jm.chrF(n=3, ignore_index=0, word_n=2),
        with_words,
        _chrf_of_words,
        exact=True,
    ),
    Case(
        "rouge 2",
        jm.ROUGE("2", ignore_index=0),
        pairs_of_sentences,
        _rouge("f1", _bigrams),
    ),
    Case(
        "rouge L",
        jm.ROUGE("L", "recall", ignore_index=0),
        pairs_of_sentences,
        _rouge("recall", _subsequence),
    ),
    Case(
        "rouge Lsum",
        jm.ROUGE("Lsum", "recall", ignore_index=0, separator=4),
        pairs_of_sentences,
        _rouge_of_summaries,
    ),
    Case(
        "squad",
        jm.Compose(as_one_array, value=jm.SQuAD(ignore_index=0)),
        with_two_references,
        _squad,
    ),
)
