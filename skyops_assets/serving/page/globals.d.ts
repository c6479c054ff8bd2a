// What the libraries' stand-alone files define, beside our own modules.
declare const deck: any;
declare const echarts: any;
declare const topojson: any;
