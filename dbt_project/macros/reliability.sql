{#-
Garwood's exact 95 % limits of the mean of a Poisson count: half of the 2.5 % quantile of chi-square with 2 n degrees of
freedom and half of the 97.5 % quantile with 2 n + 2.
-#}
{%- macro poisson_low(count) -%}
staging.gamma_quantile(({{ count }})::bigint, 0.025)
{%- endmacro -%}

{%- macro poisson_high(count) -%}
staging.gamma_quantile(({{ count }})::bigint + 1, 0.975)
{%- endmacro -%}

{#-
By how many standard deviations a count exceeds what the count of a year leads to expect, with `exposure_ratio` times the
year's exposure; both are taken as Poisson counts of one rate. Square roots of counts have nearly the same variance
whatever their mean (Anscombe 1948), so one threshold does for few events and many.
-#}
{%- macro excess_sd(count, year_count, exposure_ratio) -%}
2 * (sqrt({{ count }}::double precision + 0.375) - sqrt({{ exposure_ratio }} * ({{ year_count }}::double precision + 0.375)))
/ sqrt(1 + {{ exposure_ratio }})
{%- endmacro -%}

{#- A window of so many weeks, the last of them so many before the row's; the model names the window `series`. -#}
{%- macro over_weeks(count, before=0) -%}
over (series rows between {{ count + before - 1 }} preceding and {{ before }} preceding)
{%- endmacro -%}
