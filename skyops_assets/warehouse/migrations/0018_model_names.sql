-- Models got other names. Their tables move along: where retention has dropped positions they are not made anew.
alter table if exists intermediate.int_movements__moments rename to int_movements__candidates;
alter table if exists intermediate.int_movements__renewed rename to int_movements__discontinued_landings;
alter table if exists intermediate.int_arrivals__screened rename to int_arrivals__asma_eligibility;
