-- The quantile of the gamma distribution with a whole shape and scale 1: the mean of a Poisson distribution under which
-- at least `shape` events have the probability `probability`. Half of the quantile of chi-square with twice as many
-- degrees of freedom; Garwood's limits of a count are those of `n` and `n + 1`. Newton's method from Wilson and
-- Hilferty's approximation; 1e-9 of scipy's up to a million events.
create function staging.gamma_quantile(shape bigint, probability double precision)
returns double precision
language plpgsql
immutable
strict
as $$
declare
    root double precision;
    found double precision;
    step double precision;
    density double precision;
    term double precision;
    below double precision;
    log_factorial double precision := 0;
    rest bigint;
    z double precision;
    tail double precision;
begin
    if shape <= 0 then
        return 0;
    end if;
    -- Standard normal quantile to 4.5e-4 (Abramowitz and Stegun 26.2.23): only where Newton begins.
    tail := least(probability, 1 - probability);
    root := sqrt(-2 * ln(tail));
    z := root - (2.515517 + 0.802853 * root + 0.010328 * root ^ 2)
        / (1 + 1.432788 * root + 0.189269 * root ^ 2 + 0.001308 * root ^ 3);
    z := case when probability < 0.5 then -z else z end;
    found := shape * greatest(1 - 1 / (9.0 * shape) + z / (3 * sqrt(shape)), 0.05) ^ 3;
    -- ln (shape - 1)!, by Stirling's series from 20 on.
    rest := shape - 1;
    if rest < 20 then
        for one in 2..rest loop
            log_factorial := log_factorial + ln(one::double precision);
        end loop;
    else
        log_factorial := rest * ln(rest::double precision) - rest + 0.5 * ln(2 * pi() * rest)
            + 1 / (12.0 * rest) - 1 / (360.0 * rest ^ 3) + 1 / (1260.0 * rest ^ 5);
    end if;
    for _ in 1..50 loop
        -- The probability of fewer events than `shape`, from the last term down; the first is the density as well.
        density := exp(rest * ln(found) - found - log_factorial);
        term := density;
        below := 0;
        for one in reverse rest..0 loop
            below := below + term;
            exit when term < 1e-17 * below and one < found;
            term := term * one / found;
        end loop;
        step := (1 - below - probability) / density;
        -- Never past half of the way to zero.
        found := greatest(found - step, found / 2);
        exit when abs(step) < 1e-12 * found;
    end loop;
    return found;
end
$$
