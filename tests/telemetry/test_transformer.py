"""Operations of a transformer from its configuration."""

import pytest

from jaxmetrics.telemetry import transformer_flops


def test_causal_attention_is_half_of_full_attention_except_for_the_diagonal():
    config = dict(layers=1, d_model=8, heads=2, d_ff=1, vocab=0)
    s = 4096

    def attention(**options):
        flops = transformer_flops(**config, sequence_length=s, **options).model
        return flops - transformer_flops(**config, sequence_length=1).model + 3 * 4 * 8

    full = attention(causal=False)
    assert full == 3 * 4 * 8 * s
    assert attention() == full * (s + 1) / (2 * s)
    assert attention() == pytest.approx(full / 2, rel=1e-3)
    assert attention(window=s) == attention()
    assert attention(window=1) == 3 * 4 * 8
    assert attention(window=3) == pytest.approx(3 * 4 * 8 * (3 - 3 / s))
    assert attention(segment_lengths=[s // 4] * 4) == 3 * 4 * 8 * (s // 4 + 1) / 2
    assert attention(segment_lengths=[1, 3]) == 3 * 4 * 8 * (1 + 6) / 4


def test_a_known_model_has_six_flops_a_parameter():
    llama = dict(layers=32, d_model=4096, heads=32, d_ff=11008, vocab=32000)
    flops = transformer_flops(**llama, sequence_length=2048)
    parameters = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * 32000
    attention = 12 * 32 * 4096 * 2048
    assert flops.palm == 6 * parameters + attention
    assert flops.model == 6 * parameters + attention * 2049 / 4096
    forward = transformer_flops(**llama, sequence_length=2048, backward=False)
    assert flops.model == 3 * forward.model
    assert flops.hardware == flops.model
    remat = transformer_flops(**llama, sequence_length=2048, remat=True)
    assert remat.hardware - remat.model == forward.model - 2 * 4096 * 32000


def test_grouped_heads_and_mixtures_count_the_weights_a_token_uses():
    base = dict(layers=2, d_model=64, heads=8, d_ff=32, vocab=0, sequence_length=1)
    one_key = 3 * 4 * 64 * 2

    def weights(**options):
        return (transformer_flops(**base | options).model - one_key) / 6

    assert weights() == 2 * (4 * 64 * 64 + 3 * 64 * 32)
    assert weights(gated=False) == 2 * (4 * 64 * 64 + 2 * 64 * 32)
    assert weights(kv_heads=2) == 2 * (2.5 * 64 * 64 + 3 * 64 * 32)
    mixture = weights(experts=16, experts_per_token=2, shared_experts=1)
    assert mixture == 2 * (4 * 64 * 64 + 3 * (3 * 64 * 32) + 64 * 16)


def test_each_layer_may_have_another_window():
    base = dict(layers=3, d_model=8, heads=2, d_ff=1, vocab=0, sequence_length=64)
    local, full = transformer_flops(**base, window=4), transformer_flops(**base)
    mixed = transformer_flops(**base, window=[4, 4, None])
    assert mixed.model == pytest.approx((2 * local.model + full.model) / 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kv_heads": 3}, "kv_heads=3"),
        ({"d_model": 65}, "head_dim="),
        ({"window": 0}, "window=0 for 2 layers"),
        ({"window": [4]}, "window=.4. for 2 layers"),
        ({"window": 4, "causal": False}, "causal=False"),
        ({"segment_lengths": [9]}, "expected lengths from 1 to 8"),
        ({"segment_lengths": []}, "expected lengths from 1 to 8"),
        ({"experts": 4}, "experts_per_token=None"),
        ({"experts": 4, "experts_per_token": 5}, "experts_per_token=5"),
    ],
)
def test_an_inconsistent_configuration_is_refused(options, message):
    base = dict(layers=2, d_model=64, heads=8, d_ff=32, vocab=0, sequence_length=8)
    with pytest.raises(ValueError, match=message):
        transformer_flops(**base | options)
